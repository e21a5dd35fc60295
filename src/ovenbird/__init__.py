"""Golden images with Packer and Ansible, and servers that are replaced, never changed."""

__version__ = "0.1.0"
