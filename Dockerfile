# The project and its environment in one image, for a machine where nothing may be installed, or a node of a cluster.
# It is installed as `make` installs it everywhere, with the versions of constraints.txt.
#
#   docker build -t braintune .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/runs:/braintune/runs" braintune
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD/runs:/braintune/runs" \
#       -v /path/to/data:/data:ro -e BRAINTUNE_DATA=/data braintune make book PROFILE=real
#
# With a GPU add `--gpus all`; without one, `--build-arg TORCH_INDEX=<address of PyTorch's index of CPU-only builds>`
# makes the image smaller. Where there is Apptainer and no Docker, it makes its own image from this one:
#   docker save braintune -o braintune.tar && apptainer build braintune.sif docker-archive://braintune.tar
FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends git make && rm -rf /var/lib/apt/lists/*
WORKDIR /braintune

# First what the environment is made from, so that a changed page or notebook does not install everything anew.
COPY Makefile pyproject.toml constraints.txt README.md ./
COPY lib lib
ARG TORCH_INDEX
RUN make setup TORCH_INDEX="$TORCH_INDEX"

COPY . .
# Anyone may run it: kernels and caches need a home that can be written to, and git reads a folder of someone else.
ENV HOME=/tmp
RUN git config --system --add safe.directory /braintune
CMD ["make", "book"]
