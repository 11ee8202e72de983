/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */
export const KERNEL_SHA256 =
  "ac108c4c4319115b95e87965f7cac5a022a4f12129cef5b9d9315735153e9ac5";
