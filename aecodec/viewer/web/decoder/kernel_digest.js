/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "7435663c574fc8e007e273a26158ff5f5eed211c21f0c90b5cddae2d1060bc47";
