/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "8307a77c558905d366741712031278ac9ea1f658b812c16d0ba07fb8cdcc1318";
