// garbage-collector-controller: deletes objects whose owners are gone, and carries out foreground deletion and orphaning.
//
// It keeps no graph of its own. Each informer has an index from an owner's uid to the objects that name it, so the
// dependents of an object are one look-up a kind; an object that comes with an owner that no informer knows is looked at
// by asking the server. Owners that the informers show are believed: if they are gone, their deletion is still to come.
#pragma once

#include <memory>

#include "controllers/context.h"

namespace km::controllers::garbagecollector {

std::unique_ptr<Controller> make(Context& context);

}  // namespace km::controllers::garbagecollector
