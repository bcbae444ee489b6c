package main

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// searches are texts that are hard to find.
var searches = []struct{ name, text string }{
	{"a rare word", "zyzzyva"},
	{"a number in few names", "777777"},
	{"a word in every row", "دمو"},
	{"two letters", "zy"},
	{"a text without rare trigrams", strings.Repeat("a", 253) + "b0"},
}

// searchAll prints how long searches take over ten times the rows, on each
// database: a page of 20 links, and their number.
func searchAll(o options, server, directory, postgres string) error {
	for i, database := range []string{postgres + "&dbname=searched", "sqlite:" + filepath.Join(directory, "searched.db")} {
		s := &system{
			name: []string{"PostgreSQL", "SQLite"}[i], database: database, links: 10 * o.links, address: fmt.Sprintf("127.0.0.1:%d", 8100+i),
		}
		s.command = []string{server, "serve", "--playground", "off", "--addr", s.address}
		if err := s.fill(server, postgres); err != nil {
			return err
		}
		large := fmt.Sprintf("INSERT INTO portfolio_links (id, portfolio_id, name, description) VALUES (%d, 1, 'large', '%s')", int64(1)<<40, strings.Repeat("a", 10_000))
		rare := "UPDATE portfolio_links SET description = 'a zyzzyva' WHERE id = 77777"
		if err := execute(s.driver(), strings.TrimPrefix(database, "sqlite:"), large, rare, "ANALYZE"); err != nil {
			return err
		}
		if err := s.search(o); err != nil {
			return err
		}
	}
	return nil
}

func (s *system) search(o options) error {
	if err := s.start(); err != nil {
		return err
	}
	defer s.stop()
	fmt.Printf("%-28s%16s%16s\n", s.name, "page ms", "totalCount ms")
	for _, search := range searches {
		fmt.Printf("%-28s", search.name)
		for _, selection := range []string{"nodes{id name}", "totalCount"} {
			query := fmt.Sprintf(`{portfolioLinks(first:20,filter:{search:"%s"}){%s}}`, search.text, selection)
			var waits []time.Duration
			for range 4*o.rounds + 1 {
				start := time.Now()
				request, _ := http.NewRequest(http.MethodPost, "http://"+s.address+"/graphql", strings.NewReader(document(query)))
				request.Header.Set("Content-Type", "application/json")
				request.Header.Set("Authorization", "Token "+token)
				response, err := http.DefaultClient.Do(request)
				if err != nil {
					return err
				}
				body, _ := io.ReadAll(response.Body)
				_ = response.Body.Close()
				if response.StatusCode != http.StatusOK || strings.Contains(string(body), `"errors"`) {
					return fmt.Errorf("%s: %d %s", search.name, response.StatusCode, body)
				}
				waits = append(waits, time.Since(start))
			}
			fmt.Printf("%16.1f", quantile(waits, 0.5))
		}
		fmt.Println()
	}
	return nil
}
