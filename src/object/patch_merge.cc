#include "object/patch_kinds.h"

namespace km::object {
namespace {

using codec::Value;

// Drops null members of objects, in lists too; nulls that are elements stay.
void prune(Value& v) {
  for (Value& e : v.items()) prune(e);
  for (size_t i = v.size(); v.isObject() && i-- > 0;) {
    auto& m = v.members()[i];
    if (m.value.isNull()) {
      v.erase(std::string(m.key.view()));
    } else {
      prune(m.value);
    }
  }
}

}  // namespace

void applyMergePatch(Value& document, Value patch, Value& touched) {
  for (auto& m : patch.members()) {
    Value& mark = touched[m.key];
    if (m.value.isNull()) {
      document.erase(m.key);
      mark = Value::boolean(true);
      continue;
    }
    Value* current = document.find(m.key);
    if (current != nullptr && current->isObject() && m.value.isObject()) {
      mark = Value::object();
      applyMergePatch(*current, std::move(m.value), mark);
      continue;
    }
    mark = Value::boolean(true);
    // A list that replaces an object keeps its nulls: so the library has it.
    if (current == nullptr || !current->isObject()) prune(m.value);
    document.set(m.key, std::move(m.value));
  }
}

}  // namespace km::object
