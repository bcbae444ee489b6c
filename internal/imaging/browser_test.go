package imaging_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"mime"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// browserPage draws each file on white, and prints the pixels, or null if the file is
// not shown.
const browserPage = `<!doctype html><pre id="result"></pre><script type="module">
const results = {};
await Promise.all(%s.map(async (name) => {
  const image = new Image();
  const ended = new Promise((resolve) => (image.onload = image.onerror = resolve));
  image.src = "/files/" + encodeURIComponent(name);
  await ended;
  results[name] = null;
  if (image.naturalWidth === 0) return;
  const { naturalWidth: width, naturalHeight: height } = image;
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0);
  results[name] = context.canvas.toDataURL().split(",")[1];
}));
document.getElementById("result").textContent = JSON.stringify(results);
</script>`

// inBrowser returns the files as Chromium shows them, nil if it does not.
func inBrowser(t *testing.T, files map[string][]byte) map[string]image.Image {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("images are not compared with a browser: install chromium (Debian: apt-get install chromium)")
	} else if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, isFile := strings.CutPrefix(r.URL.Path, "/files/")
		if !isFile {
			names := make([]string, 0, len(files))
			for name := range files {
				names = append(names, name)
			}
			list, _ := json.Marshal(names)
			_, _ = fmt.Fprintf(w, browserPage, list)
			return
		}
		w.Header().Set("Content-Type", mime.TypeByExtension(filepath.Ext(name)))
		_, _ = w.Write(files[name])
	}))
	t.Cleanup(server.Close)
	command := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--force-color-profile=srgb",
		"--virtual-time-budget=20000", "--dump-dom", "--user-data-dir="+t.TempDir(), server.URL)
	page, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), `<pre id="result">`)
	text, _, _ = strings.Cut(text, "</pre>")
	var results map[string][]byte // PNGs
	if err := json.Unmarshal([]byte(text), &results); err != nil {
		t.Fatalf("%v\n%s", err, page)
	}
	screens := map[string]image.Image{}
	for name, png := range results {
		screens[name] = nil
		if png != nil {
			screens[name] = decode(t, name, png)
		}
	}
	return screens
}

// onWhite draws an image on white.
func onWhite(img image.Image) *image.NRGBA {
	drawn := image.NewNRGBA(img.Bounds())
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, a := img.At(x, y).RGBA()
			level := func(v uint32) uint8 { return uint8(min(v+0xffff-a, 0xffff) >> 8) }
			drawn.SetNRGBA(x, y, color.NRGBA{level(r), level(g), level(b), 255})
		}
	}
	return drawn
}

// partlyShown are uploaded files of which Chromium shows nothing, or a part. What is
// stored of them is shown.
var partlyShown = []string{
	"no end.jpg", "half of an end.jpg", "fdAT with a wrong CRC.png", "animation with a wrong CRC of fcTL.png",
	"palette of true color with a wrong CRC.png",
}

// TestRender_AgreesWithBrowsers compares thumbnails with what Chromium shows of the
// uploaded and the stored files.
func TestRender_AgreesWithBrowsers(t *testing.T) {
	t.Parallel()
	files, thumbnails := map[string][]byte{}, map[string]image.Image{}
	for _, file := range damagedFiles(t) {
		if file.refused != "" {
			continue
		}
		renditions := render(t, file.name, file.content)
		files["stored "+file.name] = renditions.Original.Content
		thumbnails["stored "+file.name] = onWhite(decode(t, file.name, renditions.Thumbnails[3].Content))
		if !slices.Contains(partlyShown, file.name) {
			files[file.name], thumbnails[file.name] = file.content, thumbnails["stored "+file.name]
		}
	}
	for name, screen := range inBrowser(t, files) {
		if screen == nil {
			t.Errorf("%s: not shown", name)
			continue
		}
		compare(t, closeLimits, name, thumbnails[name], screen)
	}
}
