"""Pictures in a browser: the decoder in JavaScript and WebAssembly, and pages around it."""
