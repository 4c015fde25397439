// The package mrjones/oauth does the dance. See test_other_languages.py for what goes in and out.
package main

import (
	"bufio"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/mrjones/oauth"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func privateKey(path string) *rsa.PrivateKey {
	text, err := os.ReadFile(path)
	must(err)
	block, _ := pem.Decode(text)
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	must(err)
	return key.(*rsa.PrivateKey)
}

// The package turns a status that is not good into an error that holds the answer.
func status(answer *http.Response, err error) int {
	if refused, ok := err.(oauth.HTTPExecuteError); ok {
		return refused.StatusCode
	}
	must(err)
	defer answer.Body.Close()
	return answer.StatusCode
}

func main() {
	base, key, secret, callback, method, rsaKey := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	provider := oauth.ServiceProvider{
		RequestTokenUrl:   base + "/oauth/request_token",
		AuthorizeTokenUrl: base + "/oauth/authorize",
		AccessTokenUrl:    base + "/oauth/access_token",
		HttpMethod:        "POST",
	}
	isRSA := method == "RSA-SHA1"
	consumer := oauth.NewConsumer(key, secret, provider)
	if isRSA {
		consumer = oauth.NewRSAConsumer(key, privateKey(rsaKey), provider)
	}
	temporary, login, err := consumer.GetRequestTokenAndUrl(callback)
	must(err)
	fmt.Println(login)

	verifier, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	token, err := consumer.AuthorizeToken(temporary, strings.TrimSpace(verifier))
	must(err)

	me, err := consumer.Get(base+"/v2/me", nil, token)
	must(err)
	text, err := io.ReadAll(me.Body)
	must(err)
	result := map[string]any{
		"identity": json.RawMessage(text),
		"me":       me.StatusCode,
		"odd":      status(consumer.Get(base+"/v2/me", map[string]string{"name": "café & more", "empty": ""}, token)),
		"post":     status(consumer.PostForm(base+"/v2/me", map[string]string{"note": "a b+c&d"}, token)),
	}
	if !isRSA {
		result["wrong_token_secret"] = status(consumer.Get(base+"/v2/me", nil, &oauth.AccessToken{Token: token.Token, Secret: "wrong"}))
		_, _, err := oauth.NewConsumer(key, "wrong", provider).GetRequestTokenAndUrl(callback)
		// Here the package wraps the answer into a text.
		if err != nil && strings.Contains(err.Error(), "Response Code: 401") {
			result["wrong_client_secret"] = 401
		}
	}
	line, err := json.Marshal(result)
	must(err)
	fmt.Println(string(line))
}
