// The package gomodule/oauth1 does the dance. See test_other_languages.py for what goes in and out.
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
	"net/url"
	"os"
	"strings"

	"github.com/gomodule/oauth1/oauth"
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

func status(answer *http.Response, err error) int {
	must(err)
	defer answer.Body.Close()
	return answer.StatusCode
}

func main() {
	base, key, secret, callback, method, rsaKey := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	client := oauth.Client{
		Credentials:                   oauth.Credentials{Token: key, Secret: secret},
		TemporaryCredentialRequestURI: base + "/oauth/request_token",
		ResourceOwnerAuthorizationURI: base + "/oauth/authorize",
		TokenRequestURI:               base + "/oauth/access_token",
	}
	isRSA := method == "RSA-SHA1"
	if isRSA {
		client.SignatureMethod = oauth.RSASHA1
		client.PrivateKey = privateKey(rsaKey)
	}
	temporary, err := client.RequestTemporaryCredentials(nil, callback, nil)
	must(err)
	fmt.Println(client.AuthorizationURL(temporary, nil))

	verifier, err := bufio.NewReader(os.Stdin).ReadString('\n')
	must(err)
	token, _, err := client.RequestToken(nil, temporary, strings.TrimSpace(verifier))
	must(err)

	me, err := client.Get(nil, token, base+"/v2/me", nil)
	must(err)
	text, err := io.ReadAll(me.Body)
	must(err)
	result := map[string]any{
		"identity": json.RawMessage(text),
		"me":       me.StatusCode,
		"odd":      status(client.Get(nil, token, base+"/v2/me", url.Values{"name": {"café & more"}, "empty": {""}})),
		"post":     status(client.Post(nil, token, base+"/v2/me", url.Values{"note": {"a b+c&d"}})),
	}
	if !isRSA {
		wrong := oauth.Credentials{Token: token.Token, Secret: "wrong"}
		result["wrong_token_secret"] = status(client.Get(nil, &wrong, base+"/v2/me", nil))
		client.Credentials.Secret = "wrong"
		_, err := client.RequestTemporaryCredentials(nil, callback, nil)
		refused, ok := err.(oauth.RequestCredentialsError)
		if ok {
			result["wrong_client_secret"] = refused.StatusCode
		}
	}
	line, err := json.Marshal(result)
	must(err)
	fmt.Println(string(line))
}
