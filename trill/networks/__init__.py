"""What is computed: front end and encoders in Keras. `saving` rebuilds any of them from one file."""
