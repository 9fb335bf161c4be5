"""What a run is: its parameters, its folders and files, the machine."""
