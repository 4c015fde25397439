package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/{{go_package}}"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sort"
	"strings"
	"time"
)

const (
	clientKey    = {{client_key}}
	clientSecret = {{client_secret}}
	token        = {{token}}
	tokenSecret  = {{token_secret}}
)

func encode(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}

// authorization makes the Authorization header of a request; form: the fields of a form body.
func authorization(method, address string, form url.Values) string {
	address, query, _ := strings.Cut(address, "?")
	nonce := make([]byte, 16)
	rand.Read(nonce)
	oauth := [][2]string{
		{"oauth_consumer_key", clientKey},
		{"oauth_nonce", fmt.Sprintf("%x", nonce)},
		{"oauth_signature_method", "{{method}}"},
		{"oauth_timestamp", fmt.Sprint(time.Now().Unix())},
		{"oauth_token", token},
	}
	pairs := append([][2]string{}, oauth...)
	inQuery, _ := url.ParseQuery(query)
	for _, values := range []url.Values{inQuery, form} {
		for name, all := range values {
			for _, value := range all {
				pairs = append(pairs, [2]string{name, value})
			}
		}
	}
	for index, pair := range pairs {
		pairs[index] = [2]string{encode(pair[0]), encode(pair[1])}
	}
	sort.Slice(pairs, func(a, b int) bool {
		return pairs[a][0] < pairs[b][0] || pairs[a][0] == pairs[b][0] && pairs[a][1] < pairs[b][1]
	})
	normalized := make([]string, len(pairs))
	for index, pair := range pairs {
		normalized[index] = pair[0] + "=" + pair[1]
	}
	base := method + "&" + encode(address) + "&" + encode(strings.Join(normalized, "&"))
	mac := hmac.New({{go_hash}}, []byte(encode(clientSecret)+"&"+encode(tokenSecret)))
	mac.Write([]byte(base))
	oauth = append(oauth, [2]string{"oauth_signature", base64.StdEncoding.EncodeToString(mac.Sum(nil))})
	fields := make([]string, len(oauth))
	for index, field := range oauth {
		fields[index] = fmt.Sprintf(`%s="%s"`, field[0], encode(field[1]))
	}
	return "OAuth " + strings.Join(fields, ", ")
}

func main() {
	address := {{url}}
	request, _ := http.NewRequest("GET", address, nil)
	request.Header.Set("Authorization", authorization("GET", address, nil))
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer answer.Body.Close()
	io.Copy(os.Stdout, answer.Body)
	fmt.Println()
}
