import { useEffect, useRef, useState } from 'react';

// The link is signed anew with every poll; the one the player began with stays,
// so that playing is not interrupted.
export function Player({ video, onClose }) {
  const [source, setSource] = useState(video.media_url);
  const shown = useRef(video.id);
  const frame = useRef(null);

  useEffect(() => {
    if (shown.current === video.id) return;
    shown.current = video.id;
    setSource(video.media_url);
  }, [video]);

  useEffect(() => {
    frame.current?.scrollIntoView({ block: 'nearest' });
  }, [source]);

  return (
    <figure className="player" ref={frame}>
      <video src={source} controls autoPlay playsInline />
      <figcaption>
        <strong>{video.title}</strong>
        <button className="plain" onClick={onClose}>Close</button>
      </figcaption>
    </figure>
  );
}
