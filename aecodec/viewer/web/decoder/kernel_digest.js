/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels that no checksum covers. */
export const KERNEL_SHA256 =
  "b6fbb3a0f98c1ab1e7509670f3cc58a4d8e6663171e77cb3a1d5ee4d998984c4";
