"""Codecs between protobuf messages and core's models, and the dispatch of calls. Protobuf stops here."""
