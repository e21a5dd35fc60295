"""The words of Ovenbird as frozen values: what everybody may import, and nothing that acts."""
