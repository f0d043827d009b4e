"""The pages of the viewer: what people see, made on the server, in English and Japanese."""
