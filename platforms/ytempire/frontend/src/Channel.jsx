import { useCallback, useState } from 'react';
import { call } from './api.js';
import { Player } from './Player.jsx';
import { usePolled } from './usePolled.js';
import { VideoRow } from './VideoRow.jsx';

export function Channel({ channel, onProblem, onChange }) {
  const [watched, setWatched] = useState(null);
  const [busy, setBusy] = useState(false);
  const load = useCallback(() => call('GET', `/channels/${channel.id}/videos`), [channel.id]);
  const [videos, refresh] = usePolled(load, 1500, onProblem);
  const playing = videos?.find((one) => one.id === watched && one.status === 'ready');

  async function queue(event) {
    event.preventDefault();
    const form = event.target;
    const { title } = Object.fromEntries(new FormData(form));
    setBusy(true);
    try {
      await call('POST', `/channels/${channel.id}/videos`, { title });
      form.reset();
      await refresh();
      onChange();
    } catch (failed) {
      onProblem(failed);
    } finally {
      setBusy(false);
    }
  }

  async function retry(video) {
    await call('POST', `/videos/${video.id}/retry`).catch(onProblem);
    refresh();
  }

  return (
    <section>
      <header className="title">
        <h1>{channel.name}</h1>
        {channel.topic && <p className="quiet">{channel.topic}</p>}
      </header>
      {playing && <Player video={playing} onClose={() => setWatched(null)} />}
      <form className="queue" onSubmit={queue}>
        <input
          name="title"
          placeholder="What is the next video about?"
          aria-label="Video title"
          maxLength="120"
          required
        />
        <button className="primary" disabled={busy}>Queue video</button>
      </form>
      <ul className="videos">
        {videos?.map((video) => (
          <VideoRow
            key={video.id}
            video={video}
            playing={video.id === playing?.id}
            onWatch={() => setWatched(video.id)}
            onRetry={() => retry(video)}
          />
        ))}
      </ul>
      {videos?.length === 0 && <p className="quiet none">No videos on this channel yet.</p>}
    </section>
  );
}
