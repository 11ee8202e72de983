/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "27884a826a602630123304d43b1f80d3b2ef5ce94f2b07786b2f732ae78b510b";
