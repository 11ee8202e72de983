/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "b6241f604643bf6d539201863be6d6ea84129d9840d57f0d07857ded17c526a8";
