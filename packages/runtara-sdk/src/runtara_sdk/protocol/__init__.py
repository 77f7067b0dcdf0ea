"""The wire protocol: messages, frames and their codecs."""
