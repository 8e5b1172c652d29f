#include "admission/plugin.h"

namespace km::admission {

Status Chain::mutate(Attributes& a) const {
  for (const auto& p : plugins_) KM_TRY(p->mutate(a));
  return {};
}

Status Chain::validate(const Attributes& a) const {
  for (const auto& p : plugins_) KM_TRY(p->validate(a));
  return {};
}

}  // namespace km::admission
