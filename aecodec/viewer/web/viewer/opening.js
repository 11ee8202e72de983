/** Files that people choose or drop. */

const part = (id) => document.getElementById(id);

/** @param {function(File[])|null} take gets them; null where none can be taken */
export function acceptFiles(take) {
  part("open").hidden = !take;
  if (!take) {
    return;
  }
  const input = part("files");
  part("open").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take([...input.files]);
    input.value = "";
  });
  const mark = (dropping) => document.body.classList.toggle("dropping", dropping);
  window.addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  window.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) {
      mark(false);
    }
  });
  window.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    take([...event.dataTransfer.files]);
  });
}
