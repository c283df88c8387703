//! COPY's file formats: text, csv, binary. Pure: bytes to fields and back; `session` and `table` do the rest.
