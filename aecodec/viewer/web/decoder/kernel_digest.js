/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "bd73e082cedf9b2ae0272105ed44a36d4b06aef25a2e40a7a3189fa32c400b11";
