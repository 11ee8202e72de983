/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "a20fa1cdcf05c8bab0d31a3f76efe03623bbfac12022d6acd9ddd70b515be314";
