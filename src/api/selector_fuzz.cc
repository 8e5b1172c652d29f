// Selectors: what one prints as means the same.
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/selector.h"

using km::api::FieldSelector;
using km::api::LabelSelector;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  km::codec::Map<km::codec::String> labels;
  labels["a"] = "b";
  labels["x.io/n"] = "17";
  if (auto s = LabelSelector::parse(text); s.ok()) {
    auto again = LabelSelector::parse(s->str());
    if (!again.ok() || again->str() != s->str() || again->matches(labels) != s->matches(labels)) std::abort();
  }
  if (auto s = FieldSelector::parse(text); s.ok()) {
    // Terms stand in the order of their texts as given, which printing may change.
    auto again = FieldSelector::parse(s->str());
    if (!again.ok() || again->terms().size() != s->terms().size()) std::abort();
    s->matches([](std::string_view field) { return std::string(field); });
  }
  return 0;
}
