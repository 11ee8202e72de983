/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "837f80219dca20494e857ef8c6fcd3a977ec1227e34e47759ab6cfb51445382b";
