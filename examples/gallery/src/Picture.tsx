import { decodeBlurHash } from "fast-blurhash";
import { useCallback, useState } from "react";
import type { Image } from "./graphql";

/** An image in a box of fixed proportions. Its BlurHash is shown until it is loaded. */
export function Picture({ image, name }: { image: Image; name: string }) {
  const [loaded, setLoaded] = useState(false);
  const { placeholder } = image;
  const draw = useCallback((canvas: HTMLCanvasElement | null) => {
    if (!canvas || !placeholder) return;
    const pixels = decodeBlurHash(placeholder, canvas.width, canvas.height);
    const data = new ImageData(canvas.width, canvas.height);
    data.data.set(pixels);
    canvas.getContext("2d")!.putImageData(data, 0, 0);
  }, [placeholder]);
  return (
    <>
      {placeholder && !loaded && <canvas ref={draw} width={32} height={24} aria-hidden />}
      <img src={image.url} srcSet={image.srcset ?? undefined} sizes="(max-width: 40rem) 100vw, 20rem"
        width={image.width ?? undefined} height={image.height ?? undefined} alt={image.alt || name}
        loading="lazy" decoding="async" draggable={false}
        className={loaded ? "loaded" : ""} onLoad={() => setLoaded(true)} />
    </>
  );
}
