/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "315ccbd6faee12aa8b23f3696ebe8427b0c2b6f00c38211043d46a33ca1f811a";
