-- The requests of one shape (MODE), ids drawn over LINKS links, 100 a portfolio.
local mode = os.getenv("MODE")
local links = tonumber(os.getenv("LINKS"))
math.randomseed(tonumber(os.getenv("SEED")))
local headers = {
  ["Content-Type"] = "application/json",
  Authorization = "Token 0123456789abcdef0123456789abcdef01234567",
}
local fields = "id name url description createdAt updatedAt imageData { id type name size humanReadableSize url width height mode thumbnails { id url size } }"
local one = "query L($p: ID!, $i: ID!) { portfolioLink(portfolioId: $p, id: $i) { " .. fields .. " } }"
local many = "query L($p: ID!, $n: Int!) { portfolioLinks(portfolioId: $p, first: $n) { nodes { " .. fields .. " } } }"

local update = "mutation U($i: ID!, $n: String!) { updatePortfolioLink(input: { id: $i, name: $n }) { portfolioLink { id name updatedAt } } }"

local function post(query, variables)
  return wrk.format("POST", "/graphql", headers, '{"query":"' .. query .. '","variables":' .. variables .. "}")
end

request = function()
  local id = math.random(1, links)
  local p = math.floor((id - 1) / 100) + 1
  if mode == "rest" then return wrk.format("GET", "/api/portfolios/" .. p .. "/links/" .. id, headers) end
  if mode == "floor" then return wrk.format("GET", "/floor/" .. p .. "/" .. id, headers) end
  if mode == "many" then return wrk.format("GET", "/many/" .. p .. "/50", headers) end
  if mode == "gql" then return post(one, '{"p":"' .. p .. '","i":"' .. id .. '"}') end
  if mode == "gql-many" then return post(many, '{"p":"' .. p .. '","n":50}') end
  if mode == "update" then return post(update, '{"i":"' .. id .. '","n":"name ' .. math.random(1, links) .. '"}') end
end
