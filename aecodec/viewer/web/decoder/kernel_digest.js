/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "b591e9629f694a972b0613bc456f7031f055bdc295b1fedeef01a7e8f464b90c";
