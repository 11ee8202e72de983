/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "9665d30b4211c2ebda6e57fc7f9c90be1259f08dfbca8f9248a222516f5412d7";
