"""Print where to find the data of de Varda et al., stories in twelve languages: ``python data/get/devarda.py``."""

import fetching

ADDRESSES = {
    "https://github.com/Andrea-de-Varda/multilingual-models-brain": "by hand: clone it into brain/devarda of the data "
    "folder; only data/Alice_Story_TimeSeries.csv and transcribed/*.csv are read, as they are",
}


def main(words: list[str] | None = None) -> None:
    """Run the command line."""
    fetching.command("devarda-french", ADDRESSES, words)


if __name__ == "__main__":
    main()
