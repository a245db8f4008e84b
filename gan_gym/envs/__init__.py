"""The environments: GAN training behind Gymnasium's interface."""
