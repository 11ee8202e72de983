/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "553a68b58fc0af14847f932bade5ccf37ea0119354dd5afdaae068858007c64c";
