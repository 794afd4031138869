"""One file a revision, named rNNNN_what.py; `down_revision` is the one before."""
