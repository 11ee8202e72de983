/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "5c027eaaecd5aa5ed41cd4a66d18fbdcb4b0b2ea2e923b593d403dab2a228708";
