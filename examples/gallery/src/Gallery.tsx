import { startTransition, useEffect, useMemo, useOptimistic, useRef, useState } from "react";
import { useClient, useQuery, useSubscription } from "urql";
import { Card } from "./Card";
import { CreateLink, describe, imageTypes, type Link, Links, LinksChanged, MoveLink } from "./graphql";

type Move = { id: string; index: number };

type Upload = { file: File; error?: string };

/** Returns the links after one of them has moved to an index. */
function moved(links: Link[], { id, index }: Move) {
  const rest = links.filter((link) => link.id !== id);
  return rest.toSpliced(index, 0, ...links.filter((link) => link.id === id));
}

export function Gallery({ portfolioId, name }: { portfolioId: string; name: string }) {
  const client = useClient();
  const [after, setAfter] = useState<string | null>(null);
  const [{ data, error, fetching }, retry] = useQuery({ query: Links, variables: { portfolioId, after } });
  useSubscription({ query: LinksChanged, variables: { portfolioId } }); // updates the cache
  const page = data?.portfolioLinks;
  const stored = useMemo(() => [...(page?.nodes ?? [])].sort((a, b) => a.position - b.position), [page]);
  const [ordered, showMoved] = useOptimistic(stored, moved);
  const [dragged, setDragged] = useState<Move>();
  const [uploads, setUploads] = useState<Upload[]>([]);
  const [status, setStatus] = useState("");
  const [problem, setProblem] = useState("");
  const list = useRef<HTMLUListElement>(null);
  const lastMove = useRef<Promise<unknown>>(Promise.resolve());

  const move = ({ id, index }: Move) => startTransition(async () => {
    showMoved({ id, index });
    const rest = ordered.filter((link) => link.id !== id);
    const place = index > 0 ? { afterId: rest[index - 1]!.id } : { beforeId: rest[0]!.id };
    // Moves are sent one after another: each is relative to the result of those before.
    const sent = lastMove.current.then(() => client.mutation(MoveLink, { input: { id, ...place } }));
    lastMove.current = sent;
    const { error } = await sent;
    setProblem(error ? describe(error) : "");
    if (!error) setStatus(`Moved ${ordered.find((link) => link.id === id)?.name} to position ${index + 1}.`);
  });

  const upload = async (files: FileList) => {
    const added = Array.from(files, (file): Upload => ({ file }));
    setUploads((uploads) => [...uploads, ...added]);
    for (const item of added) {
      const { error } = await client.mutation(CreateLink, {
        input: { portfolioId, name: item.file.name.replace(/\.\w+$/, ""), image: item.file },
      });
      setUploads((uploads) => uploads.flatMap((other) =>
        other !== item ? other : error ? { ...item, error: describe(error) } : []));
      if (!error) setStatus(`Added ${item.file.name}.`);
    }
  };

  const dropping = useFileDrop(upload);

  return (
    <main aria-busy={fetching}>
      <div className="toolbar">
        <h2 dir="auto">{name}</h2>
        <p className="hint">Drop images anywhere to add them. Drag a card to move it.</p>
        <label className="button primary">
          Add images
          <input type="file" multiple accept={imageTypes} className="hidden"
            onChange={(event) => {
              void upload(event.target.files!);
              event.target.value = "";
            }} />
        </label>
      </div>
      <ul className="uploads" aria-label="Uploads">
        {uploads.map((item, i) => (
          <li key={i}>
            <span dir="auto">{item.file.name}</span>
            {!item.error && <progress aria-label="Uploading" />}
            {item.error && <span role="alert" className="error">{item.error}</span>}
            {item.error && (
              <button onClick={() => setUploads((uploads) => uploads.filter((other) => other !== item))}>
                Dismiss
              </button>
            )}
          </li>
        ))}
      </ul>
      <ul className="grid" aria-label="Links" ref={list} tabIndex={-1}
        onDragOver={(event) => dragged && event.preventDefault()}
        onDragEnd={() => setDragged(undefined)}
        onDrop={(event) => {
          if (!dragged) return;
          event.preventDefault();
          if (ordered[dragged.index]?.id !== dragged.id) move(dragged);
        }}>
        {(dragged ? moved(ordered, dragged) : ordered).map((link, index) => (
          <li key={link.id} className={link.id === dragged?.id ? "card dragged" : "card"}
            onDragStart={(event) => {
              event.dataTransfer.effectAllowed = "move";
              setDragged({ id: link.id, index });
            }}
            onDragOver={() => dragged && dragged.index !== index && setDragged({ id: dragged.id, index })}>
            <Card link={link}
              onMove={(step) => ordered[index + step] && move({ id: link.id, index: index + step })}
              onSaved={(name) => setStatus(`Saved ${name}.`)}
              onDeleted={(name) => {
                setStatus(`Deleted ${name}.`);
                list.current!.focus();
              }} />
          </li>
        ))}
      </ul>
      {error && (
        <p className="empty error" role="alert">
          {describe(error)} <button onClick={() => retry({ requestPolicy: "network-only" })}>Try again</button>
        </p>
      )}
      {!page && fetching && <p className="empty">Loading…</p>}
      {page && !ordered.length && !uploads.length && <p className="empty">No links yet.</p>}
      {page?.pageInfo.hasNextPage && (
        <button className="more" disabled={fetching} onClick={() => setAfter(page.pageInfo.endCursor)}>
          {fetching ? "Loading…" : "Load more"}
        </button>
      )}
      {dropping && <p className="drop">Drop images to add them</p>}
      <p className="toast" role="status"><span key={status}>{status}</span></p>
      {problem && (
        <p className="toast error" role="alert">
          {problem} <button onClick={() => setProblem("")}>Dismiss</button>
        </p>
      )}
    </main>
  );
}

/** Calls onDrop with the files dropped on the page. Returns whether files are over it. */
function useFileDrop(onDrop: (files: FileList) => void) {
  const [over, setOver] = useState(false);
  useEffect(() => {
    const listeners = new AbortController();
    const listen = (type: "dragover" | "dragleave" | "drop", listener: (event: globalThis.DragEvent) => void) =>
      addEventListener(type, (event) => event.dataTransfer?.types.includes("Files") && listener(event), listeners);
    listen("dragover", (event) => {
      event.preventDefault();
      setOver(true);
    });
    listen("dragleave", (event) => setOver(event.relatedTarget !== null));
    listen("drop", (event) => {
      event.preventDefault();
      setOver(false);
      onDrop(event.dataTransfer!.files);
    });
    return () => listeners.abort();
  });
  return over;
}
