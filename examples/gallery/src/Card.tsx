import { useRef, useState } from "react";
import { Editor } from "./Editor";
import type { Link } from "./graphql";
import { Picture } from "./Picture";

type Props = {
  link: Link;
  onMove: (step: -1 | 1) => void;
  onSaved: (name: string) => void;
  onDeleted: (name: string) => void;
};

/** Parses the URL of a web page. Other programs may store anything as a URL; then it returns undefined. */
function parsePage(url: string | null) {
  const parsed = url && URL.canParse(url) ? new URL(url) : undefined;
  return parsed && /^https?:$/.test(parsed.protocol) ? parsed : undefined;
}

export function Card({ link, onMove, onSaved, onDeleted }: Props) {
  const [editing, setEditing] = useState(false);
  const toggle = useRef<HTMLButtonElement>(null);
  const { name, url, description, imageData: image } = link;
  const page = parsePage(url);
  return (
    <>
      <div className="picture" draggable>
        <a href={page?.href} draggable={false} aria-label={image ? undefined : name}>
          {image ? <Picture key={image.id} image={image} name={name} /> : <span aria-hidden>{[...name][0]}</span>}
        </a>
      </div>
      <div className="actions">
        <button ref={toggle} aria-expanded={editing} aria-label={`Edit ${name}`} onClick={() => setEditing(!editing)}>
          {editing ? "Cancel" : "Edit"}
        </button>
        <button aria-label={`Move ${name} back`} onClick={() => onMove(-1)}>←</button>
        <button aria-label={`Move ${name} forward`} onClick={() => onMove(1)}>→</button>
      </div>
      {editing ? (
        <Editor link={link} onDeleted={onDeleted} onSaved={(name) => {
          setEditing(false);
          toggle.current?.focus();
          onSaved(name);
        }} />
      ) : (
        <div className="text" dir="auto">
          <h3>{name}</h3>
          {url && <p className="hint"><bdi>{page?.host ?? url}</bdi></p>}
          {description && <p className="description">{description}</p>}
        </div>
      )}
    </>
  );
}
