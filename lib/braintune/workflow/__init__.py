"""How a run is executed: jobs, fingerprints, Snakemake, papermill."""
