/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "5be641c50bd702e6d9862483e05b0fdb89dcce9416545a41a7093bf2e849a869";
