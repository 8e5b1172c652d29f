#include "admission/plugin.h"

namespace km::admission {

void Chain::mutateFrom(size_t first, const AttributesPtr& a, Done done) const {
  for (size_t i = first; i < plugins_.size(); i++) {
    const Plugin& p = *plugins_[i];
    if (p.waits(*a)) {
      return p.mutateLater(a, [this, i, a, done = std::move(done)](Status s) mutable {
        s.ok() ? mutateFrom(i + 1, a, std::move(done)) : done(std::move(s));
      });
    }
    if (Status s = p.mutate(*a); !s.ok()) return done(std::move(s));
  }
  done({});
}

void Chain::validateFrom(size_t first, const AttributesPtr& a, Done done) const {
  for (size_t i = first; i < plugins_.size(); i++) {
    const Plugin& p = *plugins_[i];
    if (p.waits(*a)) {
      return p.validateLater(a, [this, i, a, done = std::move(done)](Status s) mutable {
        s.ok() ? validateFrom(i + 1, a, std::move(done)) : done(std::move(s));
      });
    }
    if (Status s = p.validate(*a); !s.ok()) return done(std::move(s));
  }
  done({});
}

}  // namespace km::admission
