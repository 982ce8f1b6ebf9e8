/** Files out of what was dropped or chosen, with their paths below the folder. */

export interface Picked {
  name: string;
  file: File;
}

/** What the server takes; everything else in a card's folder (Thumbs.db, videos) is passed over and counted. */
const TAKEN = /\.(jpe?g|tiff?|png|mrk|txt)$/i;
export const PHOTO = /\.(jpe?g|tiff?|png)$/i;

export const isTaken = (name: string): boolean => TAKEN.test(name) && !name.split("/").some((part) => part.startsWith("."));

export function fromInput(list: FileList): Picked[] {
  return Array.from(list, (file) => ({ name: belowTop(file.webkitRelativePath || file.name), file }));
}

export async function fromDrop(data: DataTransfer): Promise<Picked[]> {
  // The entries must be taken before the first await: the list is emptied when the event is over.
  const entries = Array.from(data.items, (item) => item.webkitGetAsEntry()).filter((e) => e !== null);
  if (!entries.length) return Array.from(data.files, (file) => ({ name: file.name, file }));
  const found: Picked[] = [];
  const only = entries.length === 1 && entries[0]!.isDirectory;
  for (const entry of entries) await walk(entry, only ? "" : entry.name, found);
  return found;
}

async function walk(entry: FileSystemEntry, name: string, found: Picked[]): Promise<void> {
  if (entry.isFile) {
    const file = await new Promise<File>((done, failed) => (entry as FileSystemFileEntry).file(done, failed));
    found.push({ name, file });
    return;
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  for (;;) {
    // A reader gives a hundred entries at a time, and none at the end.
    const some = await new Promise<FileSystemEntry[]>((done, failed) => reader.readEntries(done, failed));
    if (!some.length) return;
    for (const child of some) await walk(child, name ? `${name}/${child.name}` : child.name, found);
  }
}

// The name of the chosen folder itself says nothing: the same card copied to another folder is the same upload.
function belowTop(path: string): string {
  return path.includes("/") ? path.slice(path.indexOf("/") + 1) : path;
}
