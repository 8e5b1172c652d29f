#include "controllers/resources.h"

#include <algorithm>
#include <map>
#include <string>

namespace km::controllers {
namespace {

// "v2" -> 2; versions that are not stable -> 0.
int stableVersion(std::string_view v) {
  int n = 0;
  for (char c : v.substr(1)) {
    if (c < '0' || c > '9') return 0;
    n = n * 10 + (c - '0');
  }
  return n;
}

}  // namespace

bool hasVerb(const api::Resource& r, std::string_view verb) {
  return std::find(r.verbs.begin(), r.verbs.end(), verb) != r.verbs.end();
}

std::vector<const api::Resource*> deletableBuiltins() {
  std::map<std::pair<std::string_view, std::string_view>, const api::Resource*> best;
  for (const api::Resource& r : api::builtinResources()) {
    if (stableVersion(r.version) == 0 || !hasVerb(r, "delete") || !hasVerb(r, "list") || !hasVerb(r, "watch")) continue;
    const api::Resource*& slot = best[{r.group, r.name}];
    if (slot == nullptr || stableVersion(slot->version) < stableVersion(r.version)) slot = &r;
  }
  std::vector<const api::Resource*> out;
  for (auto& [key, r] : best) out.push_back(r);
  return out;
}

}  // namespace km::controllers
