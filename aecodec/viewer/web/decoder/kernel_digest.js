/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels that no checksum covers. */
export const KERNEL_SHA256 = "";
