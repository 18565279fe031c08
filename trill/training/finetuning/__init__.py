"""The parts of `trill.training.finetune`."""
