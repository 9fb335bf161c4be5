"""The words of the microworld, as plain data: names, topics, kinds of things and of actions, senses, feelings.

Word lists are strings split at commas (or spaces). A *frame* is a clause written as segments between bars:
``"0:{p} | =swung | 1:the bat | MNR:with both hands"``. ``=`` marks the verb group, a number or a name before a
colon the role of the segment (``0`` is ARG0, ``LOC`` is ARGM-LOC); ``{p}`` is a slot that the grammar fills.
"""

from typing import NamedTuple

# --- names -------------------------------------------------------------------------------------------------------

WOMEN = (
    "Anna Maria Laura Emily Sarah Julia Claire Susan Alice Helen Nora Diana Rachel Martha Lucy Eva Sophie Karen "
    "Teresa Linda Olivia Hannah Emma Ruth Grace Florence Georgia Sydney"
).split()
MEN = (
    "Tom David Peter James Robert Daniel Oscar Martin Paul Simon Henry Victor Frank Samuel George Hugo Brian Kevin "
    "Carlos Edward Arthur Walter Leo Adam Philip Austin Jordan Lincoln"
).split()
SURNAMES = (
    "Lopez Carter Novak Berg Hughes Fischer Rossi Tanaka Murphy Silva Clark Bennett Moreau Keller Okafor Patel "
    "Larsen Wagner Haddad Cooper Ortega Walsh Jensen Dubois Kovacs Morgan Santos Reid Weber Lindgren"
).split()
CITIES = (
    "Paris, London, Madrid, Boston, Chicago, Dublin, Oslo, Vienna, Lisbon, Cairo, Toronto, Seattle, Prague, Athens, "
    "Denver, Milan, New York, Hong Kong, Florence, Georgia, Sydney, Austin, Jordan, Lincoln"
).split(", ")
#: An organisation is a city or a surname followed by one of these words, or a made-up name of its own.
COMPANY_WORDS = "Motors Bank Foods Airlines University Institute Records Insurance".split()
MADE_UP = "Novatek Lumora Brightwave Zentrix Oakfield Vantora Solaris Medicor".split()
PRODUCTS = "Falcon Aurora Comet Nimbus Orion Breeze Pioneer Spark".split()

# --- topics ------------------------------------------------------------------------------------------------------


class Topic(NamedTuple):
    """One topic: its broad domain, who is there, where, and what they do (``"verb: object, object"``)."""

    domain: str
    people: str
    places: str
    events: tuple[str, ...]


TOPICS = {
    "hospital": Topic("health", "doctor, nurse, surgeon, patient", "clinic, ward, hospital", (
        "examine: wound, scar, bone", "read: chart, prescription", "clean: needle, bandage, thermometer",
        "prepare: injection, bandage, stretcher", "treat: infection, fever, fracture")),
    "kitchen": Topic("home", "chef, waiter, baker, guest", "kitchen, restaurant, bakery", (
        "bake: cake, pie, +loaves", "taste: soup, sauce, cheese", "chop: onion, carrot, +tomatoes",
        "wash: pan, bowl, +knives", "order: dessert, salad, sandwich")),
    "farm": Topic("nature", "farmer, shepherd, vet, neighbour", "farm, barn, meadow", (
        "feed: horse, goat, +chickens", "milk: cow, goat", "plough: field, meadow",
        "repair: tractor, fence, gate", "harvest: wheat, corn, +potatoes")),
    "school": Topic("learning", "teacher, pupil, student, headmaster", "classroom, school, playground", (
        "explain: lesson, theorem, poem", "mark: essay, exam, +notebooks", "draw: map, triangle, diagram",
        "forget: pencil, ruler, notebook", "solve: equation, puzzle, riddle")),
    "court": Topic("law", "judge, lawyer, witness, clerk", "courtroom, courthouse, office", (
        "read: verdict, contract, statement", "sign: contract, statement, letter", "question: alibi, testimony, verdict",
        "reject: appeal, argument, testimony", "present: document, argument, photograph")),
    "orchestra": Topic("art", "conductor, violinist, singer, composer", "concert hall, studio, opera house", (
        "play: violin, cello, piano", "tune: guitar, violin, harp", "compose: symphony, song, opera",
        "record: song, melody, concerto", "rehearse: symphony, melody, opera")),
    "football": Topic("sport", "coach, goalkeeper, referee, striker", "stadium, pitch, gym", (
        "kick: ball, penalty", "win: match, trophy, medal", "stop: ball, penalty, match",
        "watch: match, replay, race", "lose: match, final, race")),
    "sailing": Topic("travel", "sailor, captain, fisherman, diver", "harbour, beach, lighthouse", (
        "steer: ship, boat, ferry", "catch: fish, crab, +lobsters", "drop: anchor, net, rope",
        "paint: boat, mast, anchor", "survive: storm, hurricane, wave")),
    "garden": Topic("nature", "gardener, florist, neighbour, botanist", "garden, park, greenhouse", (
        "plant: rose, tulip, tree", "water: orchid, lawn, +flowers", "cut: hedge, branch, lawn",
        "buy: shovel, rake, ladder", "dig: hole, pond, ditch")),
    "market": Topic("trade", "merchant, customer, butcher, grocer", "market, shop, bakery", (
        "sell: cheese, apple, +oranges", "buy: melon, ham, +eggs", "weigh: fish, pumpkin, +cherries",
        "count: +coins, +apples, +boxes", "carry: basket, box, bag")),
    "newsroom": Topic("law", "journalist, editor, reporter, photographer", "newsroom, office, studio", (
        "write: article, report, headline", "publish: interview, photograph, article", "film: protest, parade, interview",
        "check: source, report, statement", "delete: paragraph, email, headline")),
    "airport": Topic("travel", "pilot, passenger, mechanic, steward", "airport, terminal, hangar", (
        "land: plane, helicopter, jet", "lose: suitcase, passport, ticket", "inspect: engine, wing, suitcase",
        "show: passport, ticket, badge", "delay: flight, departure, journey")),
    "laboratory": Topic("learning", "scientist, chemist, biologist, assistant", "laboratory, museum, observatory", (
        "measure: molecule, crystal, liquid", "discover: bacterium, planet, fossil", "test: vaccine, theory, magnet",
        "break: microscope, bottle, magnet", "publish: theory, experiment, report")),
    "library": Topic("learning", "librarian, novelist, historian, reader", "library, bookshop, archive", (
        "borrow: novel, dictionary, atlas", "translate: poem, letter, novel", "find: manuscript, map, diary",
        "return: book, magazine, atlas", "burn: letter, diary, manuscript")),
    "building": Topic("trade", "builder, architect, carpenter, plumber", "workshop, tower, warehouse", (
        "build: house, bridge, wall", "drop: hammer, brick, drill", "design: tower, bridge, staircase",
        "fix: pipe, roof, door", "demolish: wall, warehouse, chimney")),
    "theatre": Topic("art", "actor, actress, director, dancer", "theatre, stage, studio", (
        "rehearse: play, dance, scene", "learn: dialogue, dance, song", "wear: costume, mask, wig",
        "cancel: performance, premiere, play", "praise: play, performance, scene")),
    "wedding": Topic("home", "bride, groom, priest, bridesmaid", "church, chapel, ballroom", (
        "cut: cake, ribbon", "choose: ring, dress, +flowers", "plan: ceremony, party, honeymoon",
        "open: present, champagne, letter", "wear: veil, suit, necklace")),
    "mountain": Topic("nature", "climber, guide, hiker, ranger", "mountain, valley, cabin", (
        "climb: cliff, peak, glacier", "cross: river, glacier, valley", "pack: rope, tent, compass",
        "spot: eagle, bear, wolf", "lose: glove, compass, map")),
    "zoo": Topic("nature", "keeper, visitor, biologist, vet", "zoo, aquarium, cage", (
        "feed: elephant, penguin, +monkeys", "photograph: tiger, giraffe, zebra", "clean: cage, pool, aquarium",
        "tame: lion, parrot, bear", "weigh: turtle, snake, seal")),
    "bank": Topic("trade", "banker, accountant, investor, cashier", "office, vault, branch office", (
        "count: +coins, +banknotes, cash", "approve: loan, mortgage, budget", "steal: wallet, cash, necklace",
        "pay: bill, debt, invoice", "calculate: profit, tax, debt")),
    "factory": Topic("trade", "engineer, worker, manager, technician", "factory, warehouse, workshop", (
        "assemble: engine, robot, bicycle", "repair: machine, pump, motor", "test: battery, robot, engine",
        "load: truck, van, +crates", "stop: machine, strike, motor")),
    "police": Topic("law", "detective, officer, thief, guard", "station, prison, alley", (
        "find: pistol, fingerprint, knife", "search: cellar, van, drawer", "hide: pistol, jewel, cash",
        "solve: crime, murder, robbery", "lock: door, cell, safe")),
    "tailor": Topic("home", "tailor, designer, model, customer", "boutique, studio, shop", (
        "sew: dress, shirt, skirt", "iron: shirt, suit, +trousers", "wear: hat, scarf, coat",
        "buy: needle, ribbon, jacket", "design: dress, coat, costume")),
    "painting": Topic("art", "painter, sculptor, curator, collector", "gallery, museum, studio", (
        "paint: portrait, landscape, mural", "carve: statue, mask, bust", "sell: portrait, statue, sketch",
        "clean: brush, statue, easel", "steal: portrait, vase, sketch")),
}  # fmt: skip

# --- kinds of things and of actions: the concept features --------------------------------------------------------

#: kind of thing -> its nouns; the key is also the everyday word above them ("a hammer is a tool")
THINGS = {
    "animal": "horse goat chickens cow fish crab lobsters eagle bear wolf elephant penguin monkeys tiger giraffe zebra "
    "lion parrot turtle snake seal dog cat rabbit bacterium",
    "food": "cake pie loaves soup sauce cheese onion carrot tomatoes dessert salad sandwich wheat corn potatoes apple "
    "oranges melon ham eggs pumpkin cherries apples champagne banana",
    "tool": "needle thermometer pan bowl knives hammer drill shovel rake ladder knife brush microscope magnet compass "
    "pencil ruler anchor rope net stretcher pump saw",
    "vehicle": "tractor ship boat ferry plane helicopter jet truck van bicycle car bus taxi",
    "garment": "costume dress suit veil glove shirt skirt trousers hat scarf coat jacket mask wig badge",
    "plant": "rose tulip tree orchid lawn flowers hedge branch daisy",
    "document": "chart prescription essay exam notebooks notebook map diagram contract statement letter document article report "
    "headline email paragraph novel dictionary atlas manuscript diary book magazine passport ticket bill invoice poem dialogue",
    "artwork": "violin cello piano guitar harp symphony song opera melody concerto portrait landscape mural statue bust "
    "sketch play dance scene photograph vase easel",
    "building": "house bridge wall tower staircase roof door chimney warehouse fence gate cage pool aquarium cellar cell "
    "clinic ward hospital kitchen restaurant bakery barn classroom school courtroom courthouse office hall studio "
    "stadium gym lighthouse greenhouse shop newsroom terminal hangar laboratory museum observatory library bookshop "
    "archive workshop theatre stage church chapel ballroom cabin vault factory station prison boutique gallery airport "
    "drawer pipe brick market",
    "landscape": "field meadow farm harbour beach garden park hole pond ditch river cliff peak glacier valley mountain "
    "wave planet fossil playground pitch zoo alley crystal liquid city",
    "body": "wound scar bone infection fever fracture injection bandage vaccine molecule fingerprint",
    "wealth": "coins banknotes cash loan mortgage budget wallet profit tax debt jewel necklace ring ribbon trophy medal "
    "present safe boxes box basket bag crates suitcase",
    "happening": "match penalty final replay race storm hurricane protest parade interview flight departure journey "
    "experiment performance premiere ceremony party honeymoon strike crime murder robbery",
    "idea": "lesson theorem triangle equation puzzle riddle verdict alibi testimony appeal argument source theory",
    "machine": "engine wing robot machine motor battery ball bottle pistol mast",
}
#: kind of action -> its verbs
ACTIONS = {
    "motion": "kick climb cross steer land drop carry load arrive return lift follow run walk leave chase push plough draw "
    "catch throw",
    "communication": "explain question present publish write sign translate say tell announce call thank praise criticise "
    "warn invite interview greet congratulate apologise confess lie scold insult promise commend condemn phone "
    "welcome alert claim report read record show praise",
    "perception": "watch taste spot inspect examine check see hear find discover measure search photograph film test weigh "
    "notice smell",
    "making": "bake prepare build design compose paint carve sew draw write assemble repair fix plant cook construct dig "
    "harvest tune mend plan pack chop",
    "breaking": "break cut burn demolish delete steal cancel reject stop lose damage destroy hit strike fire dismiss shut "
    "close abandon desert obstruct hinder",
    "having": "buy sell borrow steal hide choose order pay win lose wear keep give receive lend count purchase collect",
    "thinking": "solve learn forget calculate plan approve test know believe think realise hope decide remember admire trust "
    "doubt regret mark rehearse",
    "caring": "treat feed milk water clean wash iron tame help thank hug rescue save assist teach embrace love adore "
    "visit comfort survive play",
}
DOMAINS = ("health", "home", "nature", "learning", "law", "art", "sport", "travel", "trade")

IRREGULAR = {  # lemma: past, participle
    "read": "read read", "draw": "drew drawn", "forget": "forgot forgotten", "win": "won won", "lose": "lost lost",
    "catch": "caught caught", "cut": "cut cut", "buy": "bought bought", "dig": "dug dug", "sell": "sold sold",
    "write": "wrote written", "show": "showed shown", "break": "broke broken", "find": "found found",
    "build": "built built", "wear": "wore worn", "choose": "chose chosen", "steal": "stole stolen", "feed": "fed fed",
    "pay": "paid paid", "hide": "hid hidden", "sew": "sewed sewn", "teach": "taught taught", "leave": "left left",
    "hit": "hit hit", "strike": "struck struck", "shut": "shut shut", "give": "gave given", "lend": "lent lent",
    "begin": "began begun", "see": "saw seen", "know": "knew known", "say": "said said", "tell": "told told",
    "run": "ran run", "keep": "kept kept", "think": "thought thought", "beat": "beat beaten", "be": "was been",
    "hear": "heard heard", "burn": "burned burned", "learn": "learned learned", "throw": "threw thrown",
    "fly": "flew flown", "hang": "hung hung", "shoot": "shot shot", "ring": "rang rung", "bring": "brought brought",
    "swing": "swung swung", "hold": "held held", "fall": "fell fallen", "cast": "cast cast", "sink": "sank sunk",
    "go": "went gone", "have": "had had", "feel": "felt felt", "stand": "stood stood", "grow": "grew grown",
    "overthrow": "overthrew overthrown", "make": "made made", "take": "took taken", "get": "got got", "bear": "bore borne",
    "lead": "led led", "rise": "rose risen", "come": "came come", "sit": "sat sat", "eat": "ate eaten", "lie": "lied lied",
}  # fmt: skip
DOUBLING = {"drop", "stop", "plan", "chop", "spot", "hug", "pat", "bat", "tap", "star", "grab"}

# --- people and what they do to each other -----------------------------------------------------------------------

PERSON_ADJECTIVES = "old young tall quiet famous tired clever friendly retired".split()
#: a verb between people, and whom "because she ..." is about: the one who acts or the one acted upon
CAUSED_BY_PATIENT = {
    "praise": "had worked very hard", "thank": "had been so helpful", "congratulate": "had won the prize",
    "criticise": "had made a serious mistake", "scold": "had behaved badly", "admire": "was so brave",
    "comfort": "was crying", "rescue": "was in danger", "blame": "had caused the accident",
    "punish": "had broken the rules", "reward": "had done a wonderful job", "fire": "had stolen money",
}  # fmt: skip
CAUSED_BY_AGENT = {
    "call": "wanted some advice", "visit": "had a free afternoon", "phone": "needed some help",
    "annoy": "talked too loudly", "bore": "told the same story again", "disappoint": "had forgotten the promise",
    "amuse": "told such funny jokes", "betray": "was greedy", "deceive": "wanted the money", "interrupt": "had urgent news",
    "frighten": "wore a monster mask", "charm": "had a beautiful voice",
}  # fmt: skip
SOCIAL = (
    *CAUSED_BY_PATIENT,
    *CAUSED_BY_AGENT,
    "help",
    "follow",
    "invite",
    "warn",
    "greet",
    "hug",
    "interview",
    "push",
    "hire",
)
#: job -> what only that job does; for "she" between two people of known work
JOBS = {
    "doctor": "examined the wound, wrote a prescription, treated the fever", "chef": "cooked the soup, baked the pie, tasted the sauce",
    "pilot": "landed the plane, flew the jet, inspected the cockpit", "farmer": "milked the cow, fed the goats, ploughed the field",
    "teacher": "marked the exams, explained the lesson, praised the pupils", "lawyer": "defended the suspect, read the contract, won the trial",
    "singer": "recorded the song, rehearsed the melody, gave a concert", "gardener": "planted the roses, watered the flowers, cut the hedge",
    "painter": "finished the portrait, cleaned the brush, sketched the landscape", "plumber": "fixed the pipe, repaired the tap, unblocked the sink",
    "journalist": "wrote the article, published the interview, checked the headline",
    "tailor": "sewed the dress, ironed the suit, measured the jacket",
    "carpenter": "built the table, sawed the plank, sanded the chair", "librarian": "sorted the books, lent the novel, tidied the shelves",
    "detective": "solved the murder, found the fingerprint, followed the suspect",
    "sailor": "hoisted the sail, dropped the anchor, steered the boat",
}  # fmt: skip
#: (giver's verb, taker's verb): "Anna lent Tom the drill" is "Tom borrowed the drill from Anna"
CONVERSES = (
    ("sold", "bought"),
    ("lent", "borrowed"),
    ("gave", "received"),
    ("handed", "got"),
    ("rented", "hired"),
)
TIMES = (
    "yesterday, last week, last month, on Monday, on Tuesday, on Friday, on Sunday, in March, in August, at noon, at dawn, "
    "at midnight, in the morning, in the evening, after lunch, before breakfast, during the holidays"
).split(", ")
MANNERS = "quickly quietly carefully slowly suddenly gladly proudly calmly".split()
GOODS = "drill ladder car bicycle guitar tent boat camera book coat piano suitcase lamp table".split()

# --- synonyms and contrasts --------------------------------------------------------------------------------------

#: two words of one meaning against two of another, between people
SOCIAL_CONTRASTS = (
    ("praised commended", "criticised condemned"), ("helped assisted", "hindered obstructed"),
    ("hugged embraced", "hit struck"), ("rescued saved", "abandoned deserted"), ("loved adored", "hated despised"),
    ("trusted believed", "doubted distrusted"), ("hired employed", "fired dismissed"),
    ("defended protected", "attacked assaulted"),
)  # fmt: skip
#: the same for what people do with things, and the things that suit
THING_CONTRASTS = (
    ("bought purchased", "rented hired", "car bicycle boat tent piano house"),
    ("repaired fixed", "broke damaged", "bicycle camera lamp clock engine radio"),
    ("started began", "finished completed", "report letter novel painting essay project"),
    ("built constructed", "demolished destroyed", "house wall bridge tower shed theatre"),
    ("found discovered", "lost misplaced", "ring letter key map coin necklace"),
    ("opened unlocked", "closed shut", "door gate window box safe drawer"),
    ("rejected refused", "accepted approved", "offer plan proposal application request loan"),
    ("hid concealed", "showed displayed", "statue letter medal photograph necklace painting"),
    ("collected gathered", "scattered spread", "leaves papers coins seeds stones toys"),
)
#: pairs of words of one meaning, two pairs each that exclude each other
NOUN_CONTRASTS = (
    ("the doctor, the physician", "the lawyer, the attorney"), ("the film, the movie", "the concert, the recital"),
    ("the ship, the vessel", "the car, the automobile"), ("the present, the gift", "the bill, the invoice"),
    ("the child, the kid", "the old man, the elderly man"), ("the picture, the image", "the recording, the tape"),
    ("the forest, the woods", "the sea, the ocean"), ("the rabbit, the bunny", "the donkey, the mule"),
    ("the journey, the trip", "the dinner, the evening meal"), ("the rubbish, the garbage", "the furniture, the tables and chairs"),
)  # fmt: skip
NOUN_CONTRAST_VERBS = (
    "liked remembered photographed forgot described mentioned drew saw missed recognised".split()
)
TIME_CONTRASTS = (
    ("at dawn, at sunrise", "at dusk, at sunset"),
    ("at noon, at midday", "at midnight, in the middle of the night"),
)
#: clauses for "before" and "after"
STEPS = (
    "left the house, called a taxi, ate breakfast, read the newspaper, closed the window, fed the dog, washed the car, "
    "paid the bill, wrote the letter, cleaned the kitchen, watered the garden, packed the suitcase, bought the tickets, "
    "turned off the lamp, made the coffee, opened the door"
).split(", ")
#: things to do or not to do; "managed to" makes them happen, "failed to" keeps them from it
DEEDS = (
    "finish:report, repair:engine, open:safe, win:race, catch:train, find:key, sell:house, solve:puzzle, climb:wall, "
    "learn:poem, save:dog, pass:exam, translate:letter, pay:debt, stop:bus, cross:river"
).split(", ")
HAPPENS = ("managed to", "remembered to", "bothered to", "dared to")
HAPPENS_NOT = ("failed to", "forgot to", "refused to", "declined to")
TRUE_REPORTS = ("knew", "realised", "noticed", "was glad", "proved", "remembered")
FALSE_REPORTS = (
    "wrongly believed",
    "pretended",
    "falsely claimed",
    "wrongly assumed",
    "mistakenly thought",
    "lied",
)
EVERYDAY = "carried saw drew described bought found mentioned photographed wanted admired".split()
#: kind -> nouns of which "a <kind>" is said in everyday speech; used for entailment by a broader word
BROADER = {
    "animal": "horse goat cow wolf rabbit zebra cat dog tiger bear", "fruit": "banana apple melon pear peach lemon cherry plum",
    "tool": "hammer drill shovel rake saw spade wrench screwdriver", "vehicle": "tractor van truck bus taxi car lorry motorcycle",
    "garment": "dress suit shirt skirt scarf coat jacket jumper", "flower": "rose tulip orchid daisy lily sunflower",
    "instrument": "violin cello piano guitar harp trumpet flute drum", "bird": "parrot eagle penguin sparrow owl pigeon robin swan",
    "weapon": "pistol sword rifle dagger spear cannon", "vegetable": "carrot onion cabbage potato turnip leek",
}  # fmt: skip

# --- verdicts and feelings ---------------------------------------------------------------------------------------

REVIEWED = {  # what is judged: good words, bad words
    "film play novel concert show story": (
        "brilliant exciting moving funny charming superb clever gripping", "dull boring tedious awful clumsy dreadful silly terrible"),
    "meal soup dessert breakfast dinner pizza": (
        "delicious tasty superb excellent wonderful perfect", "disgusting bland awful terrible horrible dreadful"),
    "hotel room flat cabin restaurant": (
        "clean charming comfortable lovely wonderful cosy", "dirty filthy gloomy shabby horrible noisy"),
    "service trip lesson tour party": (
        "excellent pleasant wonderful helpful delightful great", "terrible unpleasant useless miserable poor awful"),
}  # fmt: skip
#: verdicts: {x} the thing, {w} the adjective that counts, {v} one of the other polarity; sign: does {w} hold?
VERDICTS = (
    ("1:the {x} {at} | =was | 2:{d} {w}", 1), ("1:the {x} {at} | =was not | 2:{w} | MNR:at all", -1),
    ("1:the {x} {at} | =was | 2:anything but {w}", -1), ("1:the {x} {at} | =was | 2:far from {w}", -1),
    ("1:the {x} {at} | =was | 2:nothing but {w}", 1),
    ("1:the {x} {at} | =was said to be | 2:{w} | , but | it | =was not", -1),
    ("1:the {x} {at} | =was said to be | 2:{w} | , and | it | =was", 1),
    ("0:{p} | =had expected | 1:a {v} {x} {at} | , but | it | =was | {d} {w}", 1),
    ("although | the start | =was | {v} | , | 1:the {x} {at} | =was | 2:{d} {w} | MNR:on the whole", 1),
    ("1:the {x} {at} | =looked | 2:{v} | TMP:at first | , but | it | =was | {d} {w} | TMP:in the end", 1),
    ("1:the {x} {at} | =was | 2:{d} {w} | , | no matter | that | some people | =called | it | {v}", 1),
    ("0:{p} | =called | 1:the {x} {at} | 2:{w} | , and | everyone | =agreed", 1),
    ("0:{p} | =called | 1:the {x} {at} | 2:{w} | , but | nobody else | =agreed", -1),
)  # fmt: skip
INTENSIFIERS = "very really quite truly rather".split()

#: emotion -> (share of the rows, adjectives that name it, situations of the one who feels)
EMOTIONS = {
    "joy": (0.22, "happy delighted overjoyed proud thrilled", (
        "0:{f} | =won | 1:the first prize", "0:{f} | =hugged | 1:an old friend | LOC:at the airport",
        "1:{f} | =received | 2:a wonderful present", "0:{f} | =danced | LOC:in the sunny garden",
        "0:{f} | =passed | 1:the final exam", "0:{f} | =held | 1:the new baby | TMP:for the first time")),
    "neutral": (0.22, "present busy ready available nearby", (
        "0:{f} | =put | 1:the cups | LOC:on the table", "0:{f} | =waited | LOC:at the bus stop",
        "0:{f} | =read | 1:the train timetable", "0:{f} | =bought | 1:a litre of milk",
        "0:{f} | =wrote | 1:the date | LOC:on the form", "0:{f} | =parked | 1:the car | LOC:near the office")),
    "sadness": (0.16, "sad lonely heartbroken gloomy miserable", (
        "0:{f} | =buried | 1:the old dog | LOC:in the garden", "0:{f} | =missed | 1:a dead friend",
        "0:{f} | =failed | 1:the final exam | TMP:again", "0:{f} | =wept | LOC:at the funeral",
        "0:{f} | =said | 1:goodbye | 2:to the children", "1:{f} | =was left | LOC:alone in the empty house")),
    "anger": (0.14, "angry furious outraged annoyed bitter", (
        "0:{f} | =slammed | 1:the door", "0:{f} | =shouted | 2:at the rude driver",
        "0:{f} | =tore up | 1:the unfair contract", "1:{f} | =was cheated | 0:by a greedy salesman",
        "0:{f} | =caught | 1:the thief of the bicycle", "1:{f} | =was insulted | 0:by a drunk stranger")),
    "fear": (0.11, "afraid scared terrified anxious frightened", (
        "0:{f} | =heard | 1:strange footsteps | LOC:in the dark cellar", "0:{f} | =ran | 2:from the growling bear",
        "0:{f} | =saw | 1:a man with a knife | LOC:behind the car", "0:{f} | =hid | LOC:under the bed | TMP:during the bombing",
        "0:{f} | =hung | LOC:from the broken ladder")),
    "surprise": (0.09, "surprised astonished amazed stunned startled", (
        "0:{f} | =met | 1:a cousin | 2:by sheer chance | LOC:in the desert", "0:{f} | =found | 1:an unknown painting | LOC:behind the wall",
        "0:{f} | =saw | 1:a penguin | LOC:in the supermarket", "1:{f} | =was told | 2:the completely unexpected news",
        "0:{f} | =opened | 1:the door | MNR:to a crowd of unexpected guests")),
    "disgust": (0.06, "disgusted sickened nauseous revolted repelled", (
        "0:{f} | =found | 1:a dead rat | LOC:in the soup", "0:{f} | =smelled | 1:the rotten meat",
        "0:{f} | =stepped | LOC:into warm vomit", "0:{f} | =bit | 2:into a mouldy sandwich",
        "0:{f} | =touched | 1:the slimy hair | LOC:in the drain")),
}  # fmt: skip
#: two people in one situation: the frame with {p} and {q}, what {p} feels, what {q} feels
ENCOUNTERS = (
    ("0:{p} | =beat | 1:{q} | LOC:in the final", "joy", "sadness"),
    ("0:{p} | =threatened | 1:{q} | MNR:with a knife", "anger", "fear"),
    ("0:{p} | =broke | 1:the promise | 2:to {q}", "neutral", "anger"),
    ("0:{p} | =surprised | 1:{q} | MNR:with a party", "joy", "surprise"),
    ("0:{p} | =told | 2:{q} | 1:the news of the fatal accident", "sadness", "surprise"),
    ("0:{p} | =robbed | 1:{q} | LOC:in the park", "neutral", "fear"),
    ("0:{p} | =vomited | LOC:over {q}", "sadness", "disgust"),
    ("0:{p} | =handed | 2:{q} | 1:the annual report", "neutral", "neutral"),
    ("0:{p} | =won | 1:the job | 2:ahead of {q}", "joy", "anger"),
    ("0:{p} | =lost | 1:the match | 2:against {q}", "sadness", "joy"),
)
#: clauses that only point at the one who feels
AFTERWARDS = (
    "{f} | =told | the family | about it", "{f} | =wrote | about it | in a diary", "{f} | =talked | about it | all evening",
    "{f} | =kept thinking | about it", "{f} | =called | home | about it",
)  # fmt: skip
