import json
import os
import urllib.request

API_URL, API_TOKEN = os.environ["API_URL"], os.environ["API_TOKEN"]


def send(path, body=None):
    headers = {"Authorization": "Token " + API_TOKEN, "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(API_URL + path, body, headers)) as response:
        return json.load(response)


def graphql(query, **variables):
    return send("/graphql", json.dumps({"query": query, "variables": variables}).encode())


print(json.dumps(graphql("query($id: ID!) { portfolioLink(id: $id) { name } }", id=4)))
print(json.dumps(send("/api/portfolios/1/links/4")))
